//! Keys that fill most of a range: the server finds them by the two ends in a third to a ninth of the time that a list costs, and
//! what was not asked for is dropped here.

use flusso_plugin::Value;

/// Fewer keys are not worth it.
const LEAST: usize = 32;
/// Of so many numbers in the range one at least is asked for.
const SPARSENESS: i64 = 2;

/// Integers between a least and a greatest one, most of which are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DenseRange {
    pub(crate) low: i64,
    /// By their distance from `low`.
    asked: Vec<bool>,
}

impl DenseRange {
    /// The range of keys of one integer column; none: they are too few or too far apart, or another kind of key.
    pub(crate) fn of(keys: &[&[Value]]) -> Option<Self> {
        let numbers = keys.iter().map(|key| match key {
            [Value::Integer(number)] => Some(*number),
            _ => None,
        });
        Self::of_numbers(&numbers.collect::<Option<Vec<_>>>()?)
    }

    /// The range of keys that are the texts of integers.
    pub(crate) fn of_texts<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        Self::of_numbers(&texts.map(number).collect::<Option<Vec<_>>>()?)
    }

    fn of_numbers(numbers: &[i64]) -> Option<Self> {
        let (low, high) = (*numbers.iter().min()?, *numbers.iter().max()?);
        let span = high.checked_sub(low)?.checked_add(1)?;
        let most = i64::try_from(numbers.len()).ok()?.checked_mul(SPARSENESS)?;
        if numbers.len() < LEAST || span > most {
            return None;
        }
        let mut asked = vec![false; usize::try_from(span).ok()?];
        for number in numbers {
            let place = usize::try_from(number - low).ok()?;
            if let Some(place) = asked.get_mut(place) {
                *place = true;
            }
        }
        let distinct = asked.iter().filter(|asked| **asked).count();
        (i64::try_from(distinct).ok()?.checked_mul(SPARSENESS)? >= span).then_some(Self { low, asked })
    }

    /// The greatest.
    pub(crate) fn high(&self) -> i64 {
        self.low.saturating_add(i64::try_from(self.asked.len()).unwrap_or(i64::MAX) - 1)
    }

    /// Whether a number is asked for.
    pub(crate) fn contains(&self, value: &Value) -> bool {
        matches!(value, Value::Integer(number) if self.contains_number(*number))
    }

    /// Whether the integer of this text is asked for.
    pub(crate) fn contains_text(&self, text: &[u8]) -> bool {
        number(text).is_some_and(|number| self.contains_number(number))
    }

    fn contains_number(&self, number: i64) -> bool {
        let place = number.checked_sub(self.low).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.asked.get(place)).copied().unwrap_or_default()
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(numbers: impl IntoIterator<Item = i64>) -> Option<DenseRange> {
        let keys: Vec<[Value; 1]> = numbers.into_iter().map(|number| [Value::Integer(number)]).collect();
        let keys: Vec<&[Value]> = keys.iter().map(<[Value; 1]>::as_slice).collect();
        DenseRange::of(&keys)
    }

    #[test]
    fn keys_that_fill_half_of_their_span_are_a_range_and_others_are_not() {
        let dense = range((0..100).rev()).unwrap_or_else(|| panic!("dense"));
        assert_eq!((dense.low, dense.high()), (0, 99));
        let odd = range((0..100).map(|it| it * 2 + 1)).unwrap_or_else(|| panic!("half"));
        assert!(odd.contains(&Value::Integer(3)) && !odd.contains(&Value::Integer(4)));
        assert!(
            !odd.contains(&Value::Integer(-1)) && !odd.contains(&Value::Integer(500)) && !odd.contains(&Value::Null)
        );
        assert_eq!(range((0..100).map(|it| it * 3)), None);
        assert_eq!(range(0..10), None, "too few");
        assert_eq!(range(std::iter::repeat_n(7, 100).chain([0, 150])), None, "the same one many times");
        assert_eq!(range((0..100).chain([i64::MAX, i64::MIN])), None);
        assert_eq!(range([]), None);
        let texts: Vec<String> = (-20..80).map(|number: i64| number.to_string()).collect();
        let dense = DenseRange::of_texts(texts.iter().map(|text| text.as_bytes())).unwrap_or_else(|| panic!("dense"));
        assert_eq!((dense.low, dense.high()), (-20, 79));
        assert!(dense.contains_text(b"-20") && !dense.contains_text(b"80") && !dense.contains_text(b"x"));
        assert_eq!(DenseRange::of_texts(texts.iter().map(|_| b"x".as_slice())), None);
        let text = vec![[Value::Text("1".to_owned())]; 100];
        assert_eq!(DenseRange::of(&text.iter().map(<[Value; 1]>::as_slice).collect::<Vec<_>>()), None);
    }
}
