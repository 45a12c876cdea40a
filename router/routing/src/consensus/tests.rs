//! Claims about agreement and about panels.

use proptest::prelude::*;

use super::*;

const BLUE: &str = "The sky is blue because air scatters short waves of light more than long ones.";
const SAME: &str = "Because air scatters short waves of light more than long ones, the sky is blue!";
const OTHER: &str = "Oceans mirror upwards; that colours everything above them.";

fn panel(weights: &[f64]) -> Panel {
    Panel::new(weights, AGREE)
}

#[test]
fn of_three_adapters_two_agree_so_the_score_is_two_thirds() {
    let sketches = [OTHER, BLUE, SAME].map(Sketch::of);
    let all = groups(&sketches, AGREE);
    assert_eq!(all.iter().map(|group| group.members.clone()).collect::<Vec<_>>(), [vec![1, 2], vec![0]]);
    assert_eq!(format!("{:.2}", all[0].score), "0.67");
}

#[test]
fn of_groups_of_one_size_the_first_to_begin_is_ahead() {
    let sketches = [OTHER, BLUE, OTHER, SAME].map(Sketch::of);
    assert_eq!(groups(&sketches, AGREE)[0].members, [0, 2]);
    assert_eq!(groups(&[], AGREE), []);
}

#[test]
fn the_representative_is_nearest_to_all_of_its_group() {
    let sketches = ["one two three four", "one two three four five", "one two three five six"].map(Sketch::of);
    let group = Group { members: vec![0, 1, 2], score: 1.0 };
    assert_eq!(representative(&sketches, &group), Some(1));
    assert_eq!(representative(&sketches, &Group { members: vec![], score: 0.0 }), None);
}

#[test]
fn the_first_wins_and_failures_are_waited_over() {
    let mut panel = panel(&[1.0; 3]);
    panel.fail(0);
    assert_eq!(panel.verdict(Rule::FirstWin), Verdict::Wait);
    panel.answer(2, OTHER);
    panel.answer(1, BLUE);
    assert_eq!(panel.verdict(Rule::FirstWin), Verdict::Take { member: 2, score: 1.0, agreed: true });
}

#[test]
fn a_quorum_is_taken_as_soon_as_it_stands() {
    let mut panel = panel(&[1.0; 4]);
    panel.answer(3, BLUE);
    panel.answer(0, OTHER);
    assert_eq!(panel.verdict(Rule::Quorum(2)), Verdict::Wait);
    panel.answer(1, SAME);
    let Verdict::Take { member, score, agreed } = panel.verdict(Rule::Quorum(2)) else { panic!("waits") };
    assert_eq!((member, agreed, format!("{score:.2}")), (3, true, "0.67".to_owned()));
    // Three are still possible with the last one to come.
    assert_eq!(panel.verdict(Rule::Quorum(3)), Verdict::Wait);
    panel.fail(2);
    assert!(matches!(panel.verdict(Rule::Quorum(3)), Verdict::Take { member: 3, agreed: false, .. }));
}

#[test]
fn a_quorum_out_of_reach_is_not_waited_for() {
    let mut panel = panel(&[1.0; 3]);
    panel.answer(0, BLUE);
    panel.answer(1, OTHER);
    assert!(matches!(panel.verdict(Rule::Quorum(3)), Verdict::Take { member: 0, agreed: false, .. }));
}

#[test]
fn weight_goes_before_number_and_is_not_waited_for_once_it_decides() {
    let mut panel = panel(&[1.0, 1.0, 5.0, 1.0]);
    panel.answer(0, BLUE);
    panel.answer(1, SAME);
    assert_eq!(panel.verdict(Rule::Weighted), Verdict::Wait);
    panel.answer(2, OTHER);
    let Verdict::Take { member, score, agreed } = panel.verdict(Rule::Weighted) else { panic!("waits") };
    assert_eq!((member, agreed), (2, true));
    assert!((score - 5.0 / 7.0).abs() < 1e-9);
}

#[test]
fn when_the_time_is_over_the_best_of_what_there_is_is_taken() {
    let mut asked = panel(&[1.0; 3]);
    assert_eq!(asked.clone().close(Rule::Quorum(2)), Verdict::Nothing);
    asked.answer(1, BLUE);
    assert_eq!(asked.close(Rule::Quorum(2)), Verdict::Take { member: 1, score: 1.0, agreed: false });
}

proptest! {
    #[test]
    fn every_answer_is_in_one_group_and_the_scores_add_up(texts in prop::collection::vec("[a-d ]{0,12}", 0..9)) {
        let sketches: Vec<_> = texts.iter().map(|text| Sketch::of(text)).collect();
        let all = groups(&sketches, AGREE);
        let mut places: Vec<_> = all.iter().flat_map(|group| group.members.clone()).collect();
        places.sort_unstable();
        prop_assert_eq!(places, (0..texts.len()).collect::<Vec<_>>());
        prop_assert!((all.iter().map(|group| group.score).sum::<f64>() - f64::from(u8::from(!texts.is_empty()))).abs() < 1e-9);
        prop_assert!(all.windows(2).all(|pair| pair[0].members.len() >= pair[1].members.len()));
    }

    #[test]
    fn a_panel_that_has_heard_everybody_decides(
        weights in prop::collection::vec(0.0..3.0_f64, 1..6),
        told in prop::collection::vec((0..8_usize, prop::option::of("[ab ]{0,6}")), 0..20),
        need in 1..5_usize,
    ) {
        let mut panel = Panel::new(&weights, AGREE);
        for (member, text) in &told {
            match text {
                Some(text) => panel.answer(*member, text),
                None => panel.fail(*member),
            }
        }
        let answered: Vec<_> = panel.groups().into_iter().flat_map(|group| group.members).collect();
        for rule in [Rule::FirstWin, Rule::Quorum(need), Rule::Weighted] {
            match panel.clone().close(rule) {
                Verdict::Wait => prop_assert!(false, "nobody is left to wait for"),
                Verdict::Nothing => prop_assert!(answered.is_empty()),
                Verdict::Take { member, score, .. } => {
                    prop_assert!(answered.contains(&member) && (0.0..=1.0 + 1e-9).contains(&score));
                }
            }
        }
    }
}
