#!/usr/bin/env python3
"""Closes a program's window as its button does (ICCCM 4.2.8.1, WM_DELETE_WINDOW): close_window.py TITLE-PREFIX

No window manager runs on the displays of the tests, so top-level windows are the root's children, and nobody else sends this.
"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p

CLIENT_MESSAGE = 33


class ClientMessage(ctypes.Structure):
	"""XClientMessageEvent, padded to the size of XEvent."""

	_fields_ = [
		('type', c_int),
		('serial', c_ulong),
		('send_event', c_int),
		('display', c_void_p),
		('window', c_ulong),
		('message_type', c_ulong),
		('format', c_int),
		('data', c_long * 5),
		('padding', c_long * 24),
	]


def load_xlib() -> ctypes.CDLL:
	"""libX11 with the types of what is called here."""
	xlib = ctypes.CDLL('libX11.so.6')
	xlib.XOpenDisplay.restype = c_void_p
	xlib.XDefaultRootWindow.argtypes = [c_void_p]
	xlib.XDefaultRootWindow.restype = c_ulong
	xlib.XInternAtom.argtypes = [c_void_p, c_char_p, c_int]
	xlib.XInternAtom.restype = c_ulong
	xlib.XQueryTree.argtypes = [
		c_void_p,
		c_ulong,
		POINTER(c_ulong),
		POINTER(c_ulong),
		POINTER(POINTER(c_ulong)),
		POINTER(c_uint),
	]
	xlib.XFetchName.argtypes = [c_void_p, c_ulong, POINTER(c_char_p)]
	xlib.XSendEvent.argtypes = [c_void_p, c_ulong, c_int, c_long, POINTER(ClientMessage)]
	xlib.XCloseDisplay.argtypes = [c_void_p]
	return xlib


def find_window(xlib: ctypes.CDLL, display: int, prefix: bytes) -> int | None:
	"""The first top-level window whose title begins so."""
	root, parent, children, count = c_ulong(), c_ulong(), POINTER(c_ulong)(), c_uint()
	xlib.XQueryTree(
		display, xlib.XDefaultRootWindow(display), byref(root), byref(parent), byref(children), byref(count)
	)
	for window in children[: count.value]:
		title = c_char_p()
		if xlib.XFetchName(display, window, byref(title)) and (title.value or b'').startswith(prefix):
			return window
	return None


def main() -> None:
	prefix = sys.argv[1]
	xlib = load_xlib()
	display = xlib.XOpenDisplay(None)
	if not display:
		sys.exit('no display')
	window = find_window(xlib, display, prefix.encode())
	if window is None:
		sys.exit(f'no window whose title begins with {prefix}')
	event = ClientMessage(type=CLIENT_MESSAGE, window=window, format=32)
	event.message_type = xlib.XInternAtom(display, b'WM_PROTOCOLS', False)
	event.data[0] = xlib.XInternAtom(display, b'WM_DELETE_WINDOW', False)
	xlib.XSendEvent(display, window, False, 0, byref(event))
	xlib.XCloseDisplay(display)


if __name__ == '__main__':
	main()
