"""Follows log files and ships their lines to an HTTP sink: each once, whatever fails.

``python -m examples.log_forwarder`` shows it: it writes and rotates some files in a temporary
directory, ships them to a sink of its own that fails now and then, ends, and verifies what came.
``--help`` tells how to have it follow your own files. What goes on at the same time is a thread
that watches its ``please_stop``::

    main                             waits for SIGTERM or Ctrl-C, and asks the tree to end
    └─ forwarder                     starts the others; at the end, takes a last look at the files
       ├─ follow app.log             reads lines, follows the rotations, adds to the queue
       ├─ follow ...
       └─ threaded queue for lines   ships them in batches, and again, until the sink has them

Why nothing is lost, and nothing arrives twice:

- A batch has a number of its own, and keeps it however often it is sent. If only the answer of the
  sink was lost, the sink knows the batch when it comes again.
- How far each file was shipped, and the batch on its way, are in a file. The next run begins with
  that batch, under the same number, and reads on from there. So even a kill loses nothing.
- The files are the store. What was read and not shipped is forgotten, and read again.

One module for each idea: ``follow`` reads files that grow and rotate, ``journal`` remembers,
``ship`` sends, ``forwarder`` is the tree of threads, ``sink`` the other side, ``demonstration``
what is shown, and ``program`` the command line.
"""
