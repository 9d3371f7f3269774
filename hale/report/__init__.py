"""What people and programs read: the terminal's matrix, report.html, junit.xml."""
