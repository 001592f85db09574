//! Every order of the update commands.

use crate::host::Command;

const COMMANDS: [Command; 4] = [Command::Refresh, Command::Prepare, Command::Activate, Command::Deactivate];

/// Returns the shortest walk in which each order of `length` commands comes: a de Bruijn sequence, its beginning once more at
/// its end. After its last deactivate there are refreshes only, so that no activation is left.
pub(super) fn every_order(length: u32) -> Vec<Command> {
    let length = usize::try_from(length).unwrap_or(1);
    let mut word = vec![0; length + 1];
    let mut sequence = Vec::new();
    extend(1, 1, &mut word, &mut sequence);
    let again: Vec<usize> = sequence.iter().cycle().take(length - 1).copied().collect();
    sequence.into_iter().chain(again).map(|index| COMMANDS[index]).collect()
}

/// Lyndon words in their order, each as long as divides the length (Fredricksen, Kessler and Maiorana).
fn extend(at: usize, period: usize, word: &mut Vec<usize>, sequence: &mut Vec<usize>) {
    let length = word.len() - 1;
    if at > length {
        if length.is_multiple_of(period) {
            sequence.extend(&word[1..=period]);
        }
        return;
    }
    word[at] = word[at - period];
    extend(at + 1, period, word, sequence);
    for next in word[at - period] + 1..COMMANDS.len() {
        word[at] = next;
        extend(at + 1, at, word, sequence);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_order_comes_once() {
        for length in 1..=5 {
            let walk = every_order(length);
            let last = walk.iter().rfind(|command| **command != Command::Refresh);
            assert_eq!(last, Some(&Command::Deactivate));
            let size = usize::try_from(length).unwrap();
            let orders: Vec<String> = walk.windows(size).map(|order| format!("{order:?}")).collect();
            assert_eq!(orders.len(), 4_usize.pow(length));
            assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), orders.len());
        }
    }
}
