"""pytest's door to an audit: options, fixtures, one test item for each case."""
