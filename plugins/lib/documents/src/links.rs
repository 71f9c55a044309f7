//! Links found again by their text: a table of open places, for the two loops that look up every row.

/// Stands for: no link.
pub(crate) const NONE: u32 = u32::MAX;

/// Links by the hash of their text: open places, at most half of them taken.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: Vec<u32>,
}

impl Table {
    /// With room for so many links.
    pub(crate) fn for_count(count: usize) -> Self {
        Self { places: vec![NONE; (count * 2).next_power_of_two().max(8)] }
    }

    /// The link that is the same, or the place where it belongs.
    #[inline]
    pub(crate) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = (hash >> 20) as usize & mask;
        loop {
            match self.places.get(at) {
                Some(&NONE) | None => return Err(at),
                Some(link) if same(*link) => return Ok(*link),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    /// Puts a link into the place that `find` said.
    pub(crate) fn put(&mut self, place: usize, link: u32) {
        if let Some(place) = self.places.get_mut(place) {
            *place = link;
        }
    }
}

/// Adds a text to a hash.
#[inline]
pub(crate) fn mix(mut hash: u64, text: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let (chunks, rest) = text.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*chunk)).wrapping_mul(K);
    }
    let mut last = 0_u64;
    rest.iter().for_each(|byte| last = last << 8 | u64::from(*byte));
    hash = (hash.rotate_left(23) ^ last ^ ((text.len() as u64) << 56)).wrapping_mul(K);
    hash ^ hash >> 29
}
