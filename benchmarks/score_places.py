"""Which functions make up which stage of a score, for `benchmarks.score`."""

from adbid.data import hot, ledger, ledger_calls, ledger_client
from adbid.engine import scoring
from adbid.ml import model
from benchmarks.score_stages import Place
from functions.score import app

REST = "web: the event, the call"

PLACES: dict[str, list[Place]] = {
    "parse": [(app, "body_of"), (app, "plain")],
    "claims": [(app, "claims_of")],
    "engine": [(scoring.ScoringEngine, "score")],
    "hot store": [(hot.HotStore, "read")],
    "Redis: the read": [(hot, "mget")],
    "predict: rates, lifts": [(model.Model, "predict"), (scoring, "rows_of")],
    "predict: trees": [(model.Values, "of"), (model.Values, "raw")],
    "picks and terms": [
        (scoring, "picks_of"),
        (scoring, "draws_of"),
        (scoring, "terms_of"),
        (scoring.Bundle, "offers"),
    ],
    "evaluate and rank": [(scoring, "evaluate_bids")],
    "ledger: ask": [
        (scoring, "contenders_of"),
        (scoring, "fingerprint"),
        (ledger_calls.Packer, "pack"),
        (ledger.Ledger, "decide"),
    ],
    "ledger: the record": [(scoring, "pack")],
    "Redis: the script": [(ledger_client.Client, "run_packed")],
    "answer": [(app.Answer, "begin"), (app.Answer, "end")],
    "metrics": [(app, "count"), (app, "observe_seconds")],
}
