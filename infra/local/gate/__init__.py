"""The gate of the embedded cloud: the outermost ASGI application. It lets in the requests that AWS would accept.

ministack trusts every client that names one of its root keys, accepts requests of web pages of any origin, and has
control paths. So every request passes the gate first:

- The request must use a host name of this machine and a path that is served (`request_types`).
- It must be signed with this stage's credentials (`credentials`, `signatures`, `forms`), including its body (`bodies`).
  Requests for the API, the readiness check and CORS preflights are the only exceptions.

Bodies are streamed. The gate passes the end of a body on only after it has verified the body, and ministack acts on a
request only when it has the end.
"""
