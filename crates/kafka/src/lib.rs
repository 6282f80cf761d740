//! Placeholder: filled in by the first steps.
