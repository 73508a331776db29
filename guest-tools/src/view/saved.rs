// SPDX-License-Identifier: GPL-2.0
//! Views that come from files, whose figures nobody vouches for.

use exit_stats::abi;

use super::{Bucket, Row, View, FORMAT};
use crate::error::{Error, Result};

impl View {
    /// Reads views that were saved as JSON: one, or a list of one for each vCPU. `file` is
    /// its name for messages.
    pub fn parse(text: &str, file: &str) -> Result<Vec<Self>> {
        let problem = |error: serde_json::Error| {
            Error::input(file, error.line(), format!("not a saved view: {error}"))
        };
        let views: Vec<Self> = if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map_err(problem)?
        } else {
            vec![serde_json::from_str(text).map_err(problem)?]
        };
        if views.is_empty() {
            return Err(Error::input(file, 0, "there is no view in it"));
        }
        for view in &views {
            view.check()
                .map_err(|problem| Error::input(file, 0, problem))?;
        }
        Ok(views)
    }

    /// Whether the figures of a file can be ones: their sums fit into 64 bits,
    /// histograms have the buckets that there are, and no more reasons are left out.
    pub fn check(&self) -> std::result::Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "its format is {:?}, and this vmxscope reads {FORMAT:?}",
                self.format
            ));
        }
        if self.left_out > usize::from(u16::MAX) {
            return Err(format!(
                "it leaves out {} reasons, and there are not so many",
                self.left_out
            ));
        }
        let figures: [fn(&Row) -> u64; 9] = [
            |row| row.exits,
            |row| row.cycles,
            |row| row.blocked,
            |row| row.userspace,
            |row| row.scheduled_out,
            |row| row.entry,
            |row| row.guest,
            |row| row.nested,
            |row| row.dropped,
        ];
        for figure in figures {
            let add = |sum: u64, row: &Row| sum.checked_add(figure(row));
            if self.reasons.iter().try_fold(0, add).is_none() {
                return Err("its figures add up to more than 64 bits".into());
            }
        }
        let mut all = 0u64;
        for row in self.reasons.iter().chain([&self.total]) {
            let ascending = row
                .histogram
                .windows(2)
                .all(|pair| pair[0].log2 < pair[1].log2);
            let last = row.histogram.last().map_or(0, |bucket| bucket.log2);
            if !ascending || last >= abi::BUCKETS {
                return Err(format!(
                    "the histogram of {:?} has a bucket log2 = {last}: they go from 0 to {}, in order",
                    row.symbol,
                    abi::BUCKETS - 1
                ));
            }
            // The total has the sum of the others.
            let sum = |sum: u64, bucket: &Bucket| sum.checked_add(bucket.exits);
            let of_row = row.histogram.iter().try_fold(0, sum);
            let so_far = match row.reason {
                abi::TOTAL => of_row,
                _ => of_row.and_then(|sum| sum.checked_add(all)),
            };
            all = so_far.ok_or("its histograms add up to more than 64 bits")?;
        }
        Ok(())
    }
}
