"""The gate of the embedded cloud: an ASGI application around all others that lets in what AWS would let in.

ministack trusts whoever names one of its root keys, answers pages of any origin, and has control paths of its own.
So everything passes here first: who asks has to hold this stage's credentials (`credentials`, `signatures`, `forms`),
for the body as well (`bodies`), on a path that is served (`doors`), under a name of this machine. Bodies stream
through; ministack sees the end of one, and so acts on it, only when it was verified.
"""
