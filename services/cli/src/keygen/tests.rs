//! That no secret is in what is printed for debugging, and that no two keys are alike.

use super::Pair;

#[test]
fn pairs_differ_and_keep_their_secret() {
    let (one, other) = (Pair::generate(), Pair::generate());
    assert_ne!(one.key, other.key);
    assert_ne!(one.secret.expose(), other.secret.expose());
    assert_eq!((one.key.len(), one.secret.expose().len()), (20, 64));
    let shown = format!("{one:?}");
    assert!(shown.contains(&one.key) && !shown.contains(one.secret.expose()), "{shown}");
}
