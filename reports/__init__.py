"""Journal and verdict in, HTML, JUnit, Allure, Markdown out: pure functions."""
