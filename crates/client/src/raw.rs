//! One prepared request, sent over and over: what a load generator needs.
