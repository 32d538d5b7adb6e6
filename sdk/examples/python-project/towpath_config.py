from co2 import co2
from digits import digits
from flights import late_flights
from towpath.config import deployment, oci_layout, project

config = project(
    "python-project",
    pool="local",
    registry=oci_layout(".towpath/registry"),
    files=["*.py", "*.ipynb"],
    deployments=[
        deployment(late_flights),
        deployment(digits, retry={"limit": 1}),
        deployment(co2),
    ],
)
