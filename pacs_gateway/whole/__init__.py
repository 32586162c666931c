"""Has everything of a study come? Judged by what was announced of it, and by how long it has been quiet."""
