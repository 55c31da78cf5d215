"""Clones or fetches with libgit2: clone FOLDER URL, or fetch FOLDER."""
import sys

import pygit2

command, folder = sys.argv[1:3]
if command == "clone":
    pygit2.clone_repository(sys.argv[3], folder, bare=True)
else:
    pygit2.Repository(folder).remotes["origin"].fetch()
