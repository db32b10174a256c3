# Starts Autobahn's wstest (Python 2.7) from the folder given first. It is installed with
# `pip --target`, where its namespace package needs the `.pth` files read.
import site
import sys

folder = sys.argv.pop(1)
site.addsitedir(folder)
sys.path.insert(0, folder)
sys.argv[0] = "wstest"

from autobahntestsuite.wstest import run  # noqa: E402

run()
