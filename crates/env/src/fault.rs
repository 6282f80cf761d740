//! A filesystem in memory that loses, tears and refuses.
