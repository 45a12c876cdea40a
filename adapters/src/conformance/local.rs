//! The model in the process: its line, threads and answers are the real ones, its weights are played by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use atp_core::Answer;
use atp_core::port::Provider;

use super::{Ask, PATIENT, Scene, Stage, call_for};
use crate::local::Local;
use crate::local::played::{END, Engine, NOTHING, Reading, WORD, local};

#[derive(Default)]
struct Threads(Mutex<Option<Playing>>);

struct Playing {
    provider: Arc<Local>,
    /// An answer that keeps the only slot.
    blocker: Option<Answer>,
}

struct Weights(Scene);

struct Played(Scene, usize);

impl Engine for Weights {
    fn begin<'a>(&'a self) -> Box<dyn Reading + 'a> {
        Box::new(Played(self.0, 0))
    }
}

impl Reading for Played {
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, String> {
        // A prompt comes in pieces; an answer token by token.
        self.1 += usize::from(tokens.len() == 1);
        let next = match (self.0, self.1) {
            (Scene::Failed, _) | (Scene::Told, 2) => return Err("it is played".to_owned()),
            (Scene::Cut, 2) => panic!("the far side is cut, as the scene asks"),
            (Scene::Long | Scene::Overloaded | Scene::Silent, _) => {
                std::thread::park_timeout(Duration::from_millis(5));
                WORD
            }
            (Scene::Stalled, 2..) => {
                std::thread::park_timeout(Duration::from_millis(5));
                NOTHING
            }
            (_, ..4) => WORD,
            _ => END,
        };
        let mut scores = vec![0.0; 300];
        scores[next as usize] = 1.0;
        Ok(scores)
    }
}

impl Stage for Threads {
    async fn provider(&self, scene: Scene) -> Arc<dyn Provider> {
        let context = if scene == Scene::Rejected { 16 } else { 100_000 };
        let line = if scene == Scene::Overloaded { 0 } else { 8 };
        let provider = Arc::new(local(Box::new(Weights(scene)), context, line));
        let shared: Arc<dyn Provider> = Arc::clone(&provider) as _;
        let blocker = match scene {
            Scene::Overloaded => Some(call_for(&shared, Ask::Stream, Some(100), PATIENT).await.unwrap()),
            Scene::Silent => Some(call_for(&shared, Ask::Stream, None, PATIENT).await.unwrap()),
            _ => None,
        };
        *self.0.lock().unwrap() = Some(Playing { provider, blocker });
        shared
    }

    fn work(&self) -> usize {
        let playing = self.0.lock().unwrap();
        playing.as_ref().map_or(0, |it| it.provider.present() - usize::from(it.blocker.is_some()))
    }

    fn words(&self, _: bool) -> Option<String> {
        None
    }
}

super::all_claims!(Threads::default(), paused: false);
