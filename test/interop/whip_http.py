"""The HTTP half of WHIP and WHEP, by the standard library alone, and what the
client scripts share: arguments, the JSON line, exit codes, a hard time limit."""

import argparse
import json
import os
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

OK, REFUSED, USAGE, NOT_CONNECTED, NO_MEDIA = 0, 1, 2, 3, 4


class Refused(Exception):
    """The server answered something else than 201 with an SDP answer."""


def arguments(about):
    p = argparse.ArgumentParser(description=about)
    p.add_argument("url", help="WHIP or WHEP endpoint")
    p.add_argument("--seconds", type=float, default=5, help="how long to stay after connecting")
    p.add_argument("--token", default="", help="Bearer token")
    p.add_argument("--timeout", type=float, default=20, help="how long to try to connect")
    p.add_argument("--video", choices=["vp8", "h264"], default="vp8")
    args = p.parse_args()
    watchdog(args.seconds + args.timeout + 30)
    return args


def watchdog(seconds):
    """Ends the process whatever its main loop does: a hung client must not hang a test run."""

    def bite():
        report(ok=False, error="watchdog", state="hung")
        os._exit(NOT_CONNECTED)

    t = threading.Timer(seconds, bite)
    t.daemon = True
    t.start()


def report(**values):
    """Prints the one line of result."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


class Resource:
    """One WHIP or WHEP session."""

    def __init__(self, url, token):
        self.url, self.token, self.location, self.etag = url, token, None, None

    def _request(self, method, url, body=None, headers=None):
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        data = body.encode() if body is not None else None
        req = urllib.request.Request(url, data=data, method=method, headers=headers)
        # Never through a proxy: these tests stay on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(req, timeout=10)

    def offer(self, sdp):
        """POSTs the offer and returns the answer."""
        try:
            with self._request("POST", self.url, sdp, {"Content-Type": "application/sdp"}) as r:
                if r.status != 201:
                    raise Refused("POST gave %d, not 201" % r.status)
                if not r.headers.get("Location"):
                    raise Refused("201 without Location")
                if r.headers.get_content_type() != "application/sdp":
                    raise Refused("answer of type %s" % r.headers.get_content_type())
                self.location = urllib.parse.urljoin(self.url, r.headers["Location"])
                self.etag = r.headers.get("ETag")
                return r.read().decode()
        except urllib.error.HTTPError as e:
            raise Refused("POST gave %d: %s" % (e.code, e.read(300).decode("utf-8", "replace"))) from e
        except OSError as e:
            raise Refused("POST failed: %s" % e) from e

    def delete(self):
        """Ends the session; returns the status, 0 when there was none to end."""
        if not self.location:
            return 0
        try:
            with self._request("DELETE", self.location) as r:
                return r.status
        except urllib.error.HTTPError as e:
            return e.code
        except OSError:
            return 0


def codec_of(sdp, kind):
    """Name of the first codec of the first live section of a kind, as in the answer."""
    here, first = False, None
    for line in sdp.splitlines():
        if line.startswith("m="):
            f = line[2:].split()
            here = f[0] == kind and f[1] != "0" and first is None
            if here:
                first = f[3]
        elif here and line.startswith("a=rtpmap:%s " % first):
            return line.split(" ", 1)[1].split("/")[0]
    return None
