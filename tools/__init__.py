"""What keeps the collection true: the steps of the test run, the notebooks, the book, the links."""
