//! Acknowledging before the commit does not compile.

#[test]
fn ack_takes_nothing_but_a_proof_of_the_status_store() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
