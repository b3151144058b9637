"""Downloads files, many at a time: a whole program built on threadtree.

``python -m examples.downloader`` serves the standard library of the running Python over HTTP, on
loopback, and downloads it into a fresh directory; ``--help`` tells how to have it download your
own URLs and directories. Everything that goes on at the same time is a worker::

    main                    waits; here Ctrl-C arrives, and stops the tree
    └─ downloader           starts the others, and waits for the manager
       ├─ server-lib        a file server, one for each directory; a child for each connection
       ├─ display           says what it hears on the channel of progress
       ├─ manager           hands out jobs, and failed ones again, later
       │  ├─ abc.py         a task, which fetches this file, and verifies it
       │  └─ ...            no more than four at a time
       └─ keys              reads p, r and q from the terminal

One module for each idea: ``sources`` says what is to be downloaded, ``server``, ``fetch``,
``manager``, ``display`` and ``keys`` are the workers above, ``blocking`` lets a stop reach them in
a socket or at a terminal, and ``program`` puts it together; ``examples/console`` has what is not
about threads: how the examples speak, and that only the first Ctrl-C interrupts. On a terminal, if
rich is there, the tree is drawn live, with a bar for each file.
"""
