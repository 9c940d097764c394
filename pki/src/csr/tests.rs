//! Tests of csr.
