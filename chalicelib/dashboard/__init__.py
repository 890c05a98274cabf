"""The dashboard: one page that anybody may load, and panels of HTML which it fetches with the caller's token.

Everything is rendered here, on the server; the page's script only moves it into place. A panel is what its
function finds (`panels`) put into its template (`pages`).
"""
