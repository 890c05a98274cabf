"""The gate of the embedded cloud: the outermost ASGI application. It lets in the requests that AWS would accept.

ministack trusts every client that names one of its root keys, answers pages of any origin, and has control paths of its
own. So every request passes the gate first. It must be signed with this stage's credentials (`credentials`,
`signatures`, `forms`), including its body (`bodies`), for a path that is served (`doors`), under a name of this
machine. Bodies stream through. ministack gets the end of a body, and so acts on the request, only after the body is
verified.
"""
