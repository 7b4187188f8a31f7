"""Runs cases of the Autobahn test suite and compares the verdicts with verdicts.txt, one line a case:

    6.4.1 OK OK          the case, how its messages went, how its close went

usage: verdicts.py URL CASES EXCLUDED FOLDER [--write]

Any difference fails, a better verdict too: then the file has to say so. Never allowed are FAILED,
UNIMPLEMENTED and NON-STRICT, an unclean close and a wrong close code.
"""
import collections
import json
import os
import re
import subprocess
import sys

SECONDS_MAX = 1500
GOOD = ("OK", "INFORMATIONAL")
# FAILED BY CLIENT: the suite's own client gave up waiting; it says nothing of the server.
GOOD_CLOSE = ("OK", "INFORMATIONAL")
KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "verdicts.txt")


def run(url, cases, excluded, folder):
    """The planned cases, and the results by case."""
    report = os.path.abspath(os.path.join(folder, "report"))
    os.makedirs(report, exist_ok=True)
    index = os.path.join(report, "index.json")
    if os.path.exists(index):
        os.remove(index)
    spec = {"outdir": report, "cases": cases.split(","), "exclude-cases": excluded.split(),
            "exclude-agent-cases": {}, "servers": [{"agent": "wsloop", "url": url}]}
    with open(os.path.join(report, "spec.json"), "w") as file:
        json.dump(spec, file)
    suite = os.path.abspath(os.path.join(folder, "venv", "bin", "wstest"))
    done = subprocess.run([suite, "-m", "fuzzingclient", "-s", os.path.join(report, "spec.json")], cwd=report,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=SECONDS_MAX)
    line = next((line for line in done.stdout.splitlines() if line.startswith("Cases = ")), "")
    planned = re.findall(r"'([0-9.]+)'", line)
    if done.returncode != 0 or not planned or not os.path.exists(index):
        sys.exit("autobahn: the suite did not run:\n" + done.stdout[-2000:])
    with open(index) as file:
        return planned, json.load(file).get("wsloop", {})


def main():
    url, cases, excluded, folder = sys.argv[1:5]
    planned, results = run(url, cases, excluded, folder)
    key = lambda case: tuple(int(part) for part in case.split("."))
    found = {case: "%s %s" % (results[case]["behavior"], results[case]["behaviorClose"])
             for case in sorted(planned, key=key) if case in results}
    if "--write" in sys.argv:
        with open(KEPT, "w") as file:
            file.writelines("%s %s\n" % pair for pair in found.items())
    with open(KEPT) as file:
        kept = dict(line.strip().split(" ", 1) for line in file)
    bad = []
    for case in planned:
        verdict = found.get(case, "no verdict")
        words = verdict.rsplit(" ", 1)
        allowed = len(words) == 2 and words[0] in GOOD and words[1] in GOOD_CLOSE
        if not allowed or verdict != kept.get(case):
            bad.append("%s: %s; kept is %s" % (case, verdict, kept.get(case, "nothing")))
    counts = collections.Counter(verdict.rsplit(" ", 1)[0] for verdict in found.values())
    print("autobahn: %d cases: %s" % (len(planned), ", ".join("%d %s" % (n, what) for what, n in counts.items())))
    if bad:
        sys.exit("autobahn: %d differ or are not allowed:\n%s" % (len(bad), "\n".join(bad)))


if __name__ == "__main__":
    main()
