//! From attributes to the typed view.
