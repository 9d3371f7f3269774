"""The engine of Hale: inventory, standard, connection, gathering, verdicts, results.

Subjects (what is read, what is judged) live in facts/ and checks/ and are found by file
name; nothing in here knows one of them.
"""
