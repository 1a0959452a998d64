//! Writing descriptions line by line.
