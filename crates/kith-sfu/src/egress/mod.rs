//! The send side of publications and subscriptions.
