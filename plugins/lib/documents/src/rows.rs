//! Rows as they arrived: the bytes of all cells in one piece, and where each cell is.

/// An executor handed over a row that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Rows of one width.
#[derive(Debug, Default)]
pub struct Rows {
    width: usize,
    bytes: Vec<u8>,
    /// Where each cell is: its start and its length, row after row. A length of [`NULL`] is no value.
    cells: Vec<(u32, u32)>,
    count: usize,
}

const NULL: u32 = u32::MAX;

impl Rows {
    /// No rows yet, of `width` cells each.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes they hold.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a row whose cells stand in `framed` one after another, each with its length before it (big-endian; all bits
    /// set is null).
    ///
    /// # Errors
    ///
    /// When it does not have the width of the others, or all of them together do not fit.
    #[inline]
    pub fn push_framed(&mut self, framed: &[u8]) -> Result<(), Malformed> {
        let base = self.bytes.len();
        if base + framed.len() > (NULL - 1) as usize {
            return Err(Malformed);
        }
        let mut rest = framed;
        for _ in 0..self.width {
            let (length, after) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
            let start = base + framed.len() - after.len();
            let length = u32::from_be_bytes(*length);
            rest = match length {
                NULL => after,
                length => after.get(length as usize..).ok_or(Malformed)?,
            };
            #[expect(clippy::cast_possible_truncation, reason = "compared with the largest above")]
            self.cells.push((start as u32, length));
        }
        if !rest.is_empty() {
            return Err(Malformed);
        }
        self.bytes.extend_from_slice(framed);
        self.count += 1;
        Ok(())
    }

    /// Takes a row cell by cell; what is missing is null.
    ///
    /// # Errors
    ///
    /// When all of them together do not fit.
    pub fn push<'a>(&mut self, cells: impl IntoIterator<Item = Option<&'a [u8]>>) -> Result<(), Malformed> {
        let mut cells = cells.into_iter();
        for _ in 0..self.width {
            let start = u32::try_from(self.bytes.len()).map_err(|_| Malformed)?;
            let cell = match cells.next().flatten() {
                Some(cell) => {
                    self.bytes.extend_from_slice(cell);
                    (start, u32::try_from(cell.len()).map_err(|_| Malformed)?)
                }
                None => (start, NULL),
            };
            self.cells.push(cell);
        }
        self.count += 1;
        Ok(())
    }

    /// A cell; `None` is null.
    #[inline]
    pub fn cell(&self, row: usize, at: usize) -> Option<&[u8]> {
        match self.cells.get(row * self.width + at) {
            Some((start, length)) if *length != NULL => {
                let start = *start as usize;
                self.bytes.get(start..start + *length as usize)
            }
            _ => None,
        }
    }
}
