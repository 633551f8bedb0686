"""Which of fal's hosts a call is for: clients call three, and here all are one port.

`queue.fal.run` queues, `fal.run` answers with the result itself, `rest.fal.ai` takes uploads. fal's JavaScript client
names the URL that it means in a header when it is told of a proxy (fal docs: server-side integration).
"""

from urllib.parse import unquote, urlsplit

from werkzeug.wrappers import Request as Call

TARGET = "X-Fal-Target-Url"
AT_ONCE = "fal.run"
"""The host that answers a post with its result."""
RUN = "/run"
"""The path under which this port does so too."""


def aim(call: Call) -> Call:
    """The call as it is meant: of the URL in the header, and below /run where it waits for its result."""
    target = urlsplit(call.headers.get(TARGET, ""))
    path, query = call.path, call.query_string.decode("latin-1")
    if target.hostname:
        path, query = unquote(target.path), target.query
    if (target.hostname or call.host.partition(":")[0]) == AT_ONCE:
        path = RUN + path
    if path == call.path:
        return call
    # WSGI has the path's bytes, each as a character.
    return Call(call.environ | {"PATH_INFO": path.encode().decode("latin-1"), "QUERY_STRING": query})
