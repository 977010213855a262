//! Callslip.
