"""Each bound of the settings reaches the part that it is of, and no other one does."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network
from typing import Any

import pytest
from running_ingress import configured_with

from producers.ingress import app
from producers.ingress.http.protocol import HttpBounds
from producers.ingress.intents.handler import Intents
from producers.ingress.publishing import spool
from producers.ingress.webhooks import Webhooks
from runtime.settings import IngressSettings, IntentsSettings, Settings

pytestmark = pytest.mark.unit
