//! See `levada_fuzz::TARGETS`.
#![no_main]
levada_fuzz::fuzz!("sqs_policy");
