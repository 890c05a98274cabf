"""Keeps the bodies of objects and of large requests on disk, so that ministack's memory does not grow with them.

ministack reads every body into memory, and holds the bodies of all versions that were written since its start. In this
package, `stored` declares a body that lies in a file, `receiving` writes the body of a request to a file, and `objects`
makes ministack use both. The files of objects have the names that ministack gives them.
"""
