//! What clients did and saw in one run, in order: the only thing that the checks look at.
