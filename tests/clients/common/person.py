"""A person at a browser, for suites that are not written in Python.

usage: person.py AUTHORIZATION_URL [DECISION]
Signs in as the demonstration's reader, decides, and prints where the browser is sent.
"""

import sys

from demo import Demo

back = Demo.load().person("reader").decide(*sys.argv[1:3])
if back.status != 303:
    sys.exit(f"consent answered {back.status}: {back.text[:500]}")
print(back.location)
