"""Clones or fetches with dulwich: clone FOLDER URL [DEPTH], or fetch FOLDER."""
import sys

from dulwich import porcelain
from dulwich.repo import Repo

command, folder = sys.argv[1:3]
if command == "clone":
    depth = int(sys.argv[4]) if len(sys.argv) > 4 else None
    porcelain.clone(sys.argv[3], folder, bare=True, depth=depth, errstream=porcelain.NoneStream())
else:
    with Repo(folder) as repository:
        porcelain.fetch(repository, "origin", errstream=porcelain.NoneStream())
