//! An error as one line of a log.

use std::error::Error;

/// An error with all that is behind it, as one sentence. A cause that repeats what was said just before is left out:
/// some libraries write their source into their own text.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    for cause in std::iter::successors(error.source(), |error| (*error).source()) {
        let cause = cause.to_string();
        if !said.ends_with(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn what_is_said_twice_is_said_once() {
        let layers = |texts: &[&'static str]| {
            texts.iter().rev().fold(None, |below, text| Some(Box::new(Layer(text, below)))).expect("a layer")
        };
        for (texts, meant) in
            [(&["a"][..], "a"), (&["a", "b", "c"], "a: b: c"), (&["asking: no", "no", "no", "why"], "asking: no: why")]
        {
            assert_eq!(chain(&*layers(texts)), meant);
        }
    }
}
