"""Texts that do harm in a database, a terminal, a log line or a page, by what they do there."""

# Never wanted, not even in a description.
HARMFUL = {
    "NUL, which PostgreSQL does not hold": "a\0b",
    "a bell": "a\x07b",
    "a backspace": "a\x08b",
    "clears a terminal": "a\x1b[2Jb",
    "names a terminal's window": "a\x1b]0;owned\x07b",
    "clears a terminal by one byte (C1)": "a\x9b2Jb",
    "ends a terminal's string (C1)": "a\x9cb",
    "a form feed": "a\x0cb",
    "a vertical tab": "a\x0bb",
    "delete": "a\x7fb",
    "a next line (C1)": "a\x85b",
    "a line separator": "a\u2028b",
    "a paragraph separator": "a\u2029b",
    "right-to-left override": "a\u202eb",
    "left-to-right override": "a\u202db",
    "right-to-left embedding": "a\u202bb",
    "pop directional formatting": "a\u202cb",
    "right-to-left isolate": "a\u2067b",
    "pop directional isolate": "a\u2069b",
}
# A second line of a log or a table that nobody wrote; wanted in a description.
BREAKS = {"a second line": "a\nb", "a carriage return": "a\rb", "a tab": "a\tb"}
# Not seen: two names that look alike. Some languages need some of them.
UNSEEN = {
    "zero-width space": "a\u200bb",
    "zero-width non-joiner": "a\u200cb",
    "zero-width joiner": "a\u200db",
    "left-to-right mark": "a\u200eb",
    "right-to-left mark": "a\u200fb",
    "Arabic letter mark": "a\u061cb",
    "word joiner": "a\u2060b",
    "byte order mark": "a\ufeffb",
    "soft hyphen": "a\u00adb",
    "Hangul filler": "a\u3164b",
    "interlinear annotation": "a\ufff9b",
}
GOOD_NAMES = [
    "EX-4711",
    "Équipe n° 3",
    "Ünit 5",
    "放射線科",
    "قسم الأشعة",
    "отделение",
    "a\u00a0b",
    "a\u0301",
    "O'Neil & Söhne <x>",
    "👩",
]
GOOD_PROSE = ["Ligne 1\nLigne 2\r\n\tLigne 3", "می\u200cخواهم", "क्\u200dष", "שלום\u200f!", "👩\u200d⚕️", *GOOD_NAMES, ""]
