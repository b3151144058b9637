"""The SHA-256 of every file in a directory, in a window of the terminal: an app of Textual.

    python -m examples.hasher [DIRECTORY]

Each file is the work of a thread worker, four at a time; a bar shows how far it is. The box at the
top searches while you type: each search replaces the one before, and starts when that has ended.
Keys: space pauses and resumes everything, delete cancels the file under the cursor, escape goes
from the box to the files, ctrl+q quits.
"""
