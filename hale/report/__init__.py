"""The reports for people and programs: the terminal's matrix, report.html, junit.xml."""
