//! Values over the rows of a link, by the rules of SQL: nulls do not count, and of no value there is none.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use flusso_documents::Render;
use flusso_plugin::{Row, Value};
use flusso_schema::{AggregateOp, LeafType};

use crate::reads::NodeReads;
use crate::values::{self, compare};

/// The cells of the aggregates of a node over the rows of one link.
///
/// # Errors
///
/// A value that cannot be added up.
pub(crate) fn of(node: &NodeReads, rows: &[&Row]) -> Result<Vec<Option<Vec<u8>>>, String> {
    let each = node.reductions.iter();
    each.map(|(one, place)| {
        let there = rows.iter().filter_map(|row| row.get(*place)).filter(|value| !matches!(value, Value::Null));
        let ordered = node.extremes == Some(*place);
        Ok(match &one.op {
            AggregateOp::Count => Some(rows.len().to_string().into_bytes()),
            AggregateOp::Ids { .. } => Some(list(there.collect())),
            AggregateOp::Sum { column, .. } => {
                sum(there).map_err(|value| unsummed(column.as_str(), value))?.map(|(sum, _)| sum.text())
            }
            AggregateOp::Avg { column } => {
                let sum = sum(there).map_err(|value| unsummed(column.as_str(), value))?;
                sum.map(|(sum, count)| sum.mean(count).text())
            }
            AggregateOp::Min { .. } if ordered => there.take(1).next().and_then(values::cell),
            AggregateOp::Max { .. } if ordered => there.last().and_then(values::cell),
            AggregateOp::Min { .. } => there.min_by(|a, b| compare(a, b)).and_then(values::cell),
            AggregateOp::Max { .. } => there.max_by(|a, b| compare(a, b)).and_then(values::cell),
        })
    })
    .collect()
}

fn unsummed(column: &str, value: &Value) -> String {
    let kind = match value {
        Value::Text(_) => "a text",
        Value::Boolean(_) => "a boolean",
        Value::Json(_) => "json",
        _ => "no number",
    };
    format!("the column `{column}` holds {kind}, which cannot be added up")
}

/// Keys as a JSON list, in their order.
fn list(mut keys: Vec<&Value>) -> Vec<u8> {
    keys.sort_by(|a, b| compare(a, b));
    let mut out = vec![b'['];
    for cell in keys.into_iter().filter_map(values::cell) {
        if out.len() > 1 {
            out.push(b',');
        }
        Render::Tagged(LeafType::Json).render(&cell, &mut out);
    }
    out.push(b']');
    out
}

/// A sum of exact numbers, or of binary ones.
enum Sum {
    Exact(BigDecimal),
    Float(f64),
}

impl Sum {
    fn text(self) -> Vec<u8> {
        let text = match self {
            Self::Exact(sum) => sum.to_plain_string(),
            Self::Float(sum) => values::float(sum),
        };
        text.into_bytes()
    }

    fn mean(self, count: u64) -> Self {
        match self {
            Self::Exact(sum) => Self::Exact(quotient(&sum, count)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a mean of floating point numbers is none to the last digit"
            )]
            Self::Float(sum) => Self::Float(sum / count as f64),
        }
    }
}

/// The sum of some values and how many there are; `None` of none.
fn sum<'v>(values: impl Iterator<Item = &'v Value>) -> Result<Option<(Sum, u64)>, &'v Value> {
    let (mut exact, mut float, mut count) = (BigDecimal::zero(), None::<f64>, 0_u64);
    for value in values {
        count += 1;
        match value {
            Value::Integer(number) => exact += BigInt::from(*number),
            Value::Float(number) => float = Some(float.unwrap_or(0.0) + number),
            // Not-a-number and the infinities are no decimals, and make the sum what they make of a binary one.
            Value::Decimal(text) => match text.parse::<BigDecimal>() {
                Ok(number) => exact += number,
                Err(_) => float = Some(float.unwrap_or(0.0) + text.parse::<f64>().map_err(|_| value)?),
            },
            _ => return Err(value),
        }
    }
    let sum = match float {
        // Of one column, all are binary.
        Some(float) => Sum::Float(float + exact.to_plain_string().parse::<f64>().unwrap_or_default()),
        None => Sum::Exact(exact),
    };
    Ok((count > 0).then_some((sum, count)))
}

/// Divides as PostgreSQL does: with at least sixteen significant digits, four at a time (`select_div_scale` in its numeric.c).
fn quotient(sum: &BigDecimal, count: u64) -> BigDecimal {
    let count = BigDecimal::from(count);
    if sum.is_zero() {
        return BigDecimal::zero();
    }
    let ((weight, first), (other, other_first)) = (leading(sum), leading(&count));
    let mut places = weight - other;
    if first <= other_first {
        places -= 1;
    }
    let scale = (16 - places * 4).max(sum.fractional_digit_count()).clamp(0, 1000);
    // Two digits more than are kept, so that rounding once more changes nothing that a half would not.
    let digits = sum.digits() + count.digits() + u64::try_from(scale).unwrap_or_default() + 2;
    let exact = (sum.with_prec(digits.max(1))) / count;
    exact.with_scale_round(scale, RoundingMode::HalfUp)
}

/// The weight of the first digit of a number in base 10 000, and that digit.
fn leading(number: &BigDecimal) -> (i64, i64) {
    let (digits, scale) = number.abs().as_bigint_and_exponent();
    let digits = digits.to_string();
    let exponent = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - scale;
    let weight = exponent.div_euclid(4);
    let wanted = usize::try_from(exponent.rem_euclid(4) + 1).unwrap_or(1);
    let first: String = digits.chars().chain(std::iter::repeat('0')).take(wanted).collect();
    (weight, first.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(sum: &str, count: u64) -> String {
        quotient(&sum.parse().unwrap_or_default(), count).to_plain_string()
    }

    /// What PostgreSQL 15 answers to `SELECT sum::numeric / count`.
    #[test]
    fn a_mean_has_the_digits_that_postgresql_gives_it() {
        assert_eq!(mean("1", 3), "0.33333333333333333333");
        assert_eq!(mean("10", 3), "3.3333333333333333");
        assert_eq!(mean("2", 3), "0.66666666666666666667");
        assert_eq!(mean("100000", 3), "33333.333333333333");
        assert_eq!(mean("5", 2), "2.5000000000000000");
        assert_eq!(mean("-7", 2), "-3.5000000000000000");
        assert_eq!(mean("1.25", 2), "0.62500000000000000000");
        assert_eq!(mean("0", 2), "0");
    }

    #[test]
    fn integers_are_summed_beyond_64_bits() {
        let many = [Value::Integer(i64::MAX), Value::Integer(i64::MAX)];
        let Ok(Some((sum, 2))) = sum(many.iter()) else { panic!("no sum") };
        assert_eq!(String::from_utf8_lossy(&sum.text()), "18446744073709551614");
    }

    #[test]
    fn texts_are_not_summed() {
        assert!(sum([Value::Integer(1), Value::Text("2".into())].iter()).is_err());
        assert!(matches!(sum(std::iter::empty()), Ok(None)));
    }
}
