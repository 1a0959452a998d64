//! Which encodings a peer sends in a section.
