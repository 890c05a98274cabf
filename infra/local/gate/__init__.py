"""The gate of the embedded cloud: the outermost ASGI application, which passes on the requests that AWS would accept.

ministack itself checks too little: it trusts every client that names one of its root keys, accepts requests of web
pages of any origin, and has control paths. So the gate checks every request before ministack gets the request:

- The request must use a host name of this machine and a path that is served (`request_types`).
- The request and its body must be signed with this stage's credentials (`credentials`, `signatures`, `forms`,
  `bodies`). The only exceptions are requests to the API, the readiness check, CORS preflights, and webhooks that
  confirm their subscription with its token.

Bodies are streamed. The gate passes on the end of a body only after it has verified the body, and ministack does
nothing before it has the end of the body.
"""
