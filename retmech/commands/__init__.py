"""The verbs of `retmech`: read, call the stage, write. Imports wait for the verb, so that light stages start fast."""
