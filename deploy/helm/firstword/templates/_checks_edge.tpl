{{/* Checks of the gateway, the autoscaler and the load test. firstword.checks calls them. */}}
{{- define "firstword.edgeChecks" -}}
{{- include "firstword.hostnameChecks" . -}}
{{- include "firstword.splitChecks" . -}}
{{- range $pool := fromJsonArray (include "firstword.pools" .) -}}
  {{- $at := printf "pools, %q" $pool.name -}}
  {{- include "firstword.autoscalingChecks" (dict "root" $ "at" $at "pool" $pool) -}}
  {{- if $.Values.inferencePool.enabled -}}
    {{- $picker := include "firstword.pickerName" (dict "root" $ "pool" $pool) -}}
    {{- if gt (len $picker) 63 -}}
      {{- fail (printf "%s: the endpoint picker's name %s has %d characters, and the limit is 63. Shorten the release name or the pool name." $at $picker (len $picker)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.inferencePool.enabled (not .Values.gateway.enabled) -}}
  {{- fail "inferencePool.enabled needs a gateway that queries the endpoint picker, and gateway.enabled is false. Set gateway.enabled to true, with a gateway that supports InferencePool (docs/gateways.md), or inferencePool.enabled to false." -}}
{{- end -}}
{{- include "firstword.loadTestChecks" . -}}
{{- end -}}

{{- define "firstword.hostnameChecks" -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) -}}
  {{- fail "gateway.parentRefs is empty. Set it to your Gateway, e.g. `- {name: my-gateway, namespace: gateways}`." -}}
{{- end -}}
{{- $hostnames := dict -}}
{{- range $pool := fromJsonArray (include "firstword.pools" .) -}}
  {{- $way := ternary "gateway.enabled" "ingress.enabled" $.Values.gateway.enabled -}}
  {{- if and (or $.Values.gateway.enabled $.Values.ingress.enabled) (not $pool.hostname) -}}
    {{- fail (printf "pools, %q: hostname is empty, and %s needs a hostname for each pool. Set hostname to the name that the platform's agents call, e.g. voice.example.com." $pool.name $way) -}}
  {{- end -}}
  {{- with $pool.hostname -}}
    {{- if hasKey $hostnames . -}}
      {{- fail (printf "pools: %q and %q have the same hostname %s. Set a different hostname for each pool. To split turns between pools, use gateway.splits." (index $hostnames .) $pool.name .) -}}
    {{- end -}}
    {{- $_ := set $hostnames . $pool.name -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.splitChecks" -}}
{{- $pools := list -}}
{{- $hostnames := list -}}
{{- range fromJsonArray (include "firstword.pools" .) -}}
  {{- $pools = append $pools .name -}}
  {{- $hostnames = append $hostnames .hostname -}}
{{- end -}}
{{- if and .Values.gateway.splits (not .Values.gateway.enabled) -}}
  {{- fail "gateway.splits need gateway.enabled, which is false. Set gateway.enabled to true, or remove the splits." -}}
{{- end -}}
{{- $names := list -}}
{{- range $split := .Values.gateway.splits -}}
  {{- if has $split.name $names -}}
    {{- fail (printf "gateway.splits: two splits have the name %q. Give each split a different name." $split.name) -}}
  {{- end -}}
  {{- $names = append $names $split.name -}}
  {{- if has (printf "split-%s" $split.name) $pools -}}
    {{- fail (printf "gateway.splits, %q: its route would have the same name as the route of the pool %q. Rename the split or the pool." $split.name (printf "split-%s" $split.name)) -}}
  {{- end -}}
  {{- if has $split.hostname $hostnames -}}
    {{- fail (printf "gateway.splits, %q: a pool or another split has the hostname %s. Give the split a different hostname." $split.name $split.hostname) -}}
  {{- end -}}
  {{- $hostnames = append $hostnames $split.hostname -}}
  {{- $sum := 0 -}}
  {{- range $split.shares -}}
    {{- if not (has .pool $pools) -}}
      {{- fail (printf "gateway.splits, %q: the pool %q does not exist. Use one of the pools: %s." $split.name .pool (join ", " $pools)) -}}
    {{- end -}}
    {{- $sum = add $sum .weight -}}
  {{- end -}}
  {{- if eq (int $sum) 0 -}}
    {{- fail (printf "gateway.splits, %q: all weights are 0. Set at least one weight above 0." $split.name) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.autoscalingChecks" -}}
{{- $scaling := .pool.autoscaling -}}
{{- if $scaling.enabled -}}
  {{- if not .root.Values.prometheus.url -}}
    {{- fail (printf "%s: autoscaling is enabled, and prometheus.url is empty. Set prometheus.url, e.g. http://prometheus-operated.monitoring.svc:9090." .at) -}}
  {{- end -}}
  {{- if le (float64 $scaling.turnsPerSecond) 0.0 -}}
    {{- fail (printf "%s: autoscaling.turnsPerSecond is 0. Set it to the turns/s per replica of the launch report (docs/launch.md, step 4)." .at) -}}
  {{- end -}}
  {{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
    {{- fail (printf "%s: autoscaling.minReplicas is %d, above autoscaling.maxReplicas, which is %d. Lower minReplicas, or raise maxReplicas." .at (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
  {{- end -}}
  {{- range $scaling.cron -}}
    {{- if gt (int .replicas) (int $scaling.maxReplicas) -}}
      {{- fail (printf "%s: autoscaling.cron sets %d replicas, above autoscaling.maxReplicas, which is %d. Raise maxReplicas, or lower the replicas of autoscaling.cron." $.at (int .replicas) (int $scaling.maxReplicas)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.loadTestChecks" -}}
{{- $test := .Values.loadTest -}}
{{- if $test.enabled -}}
  {{- $pools := list -}}
  {{- range fromJsonArray (include "firstword.pools" .) -}}{{- $pools = append $pools .name -}}{{- end -}}
  {{- if and $test.pool (not (has $test.pool $pools)) -}}
    {{- fail (printf "loadTest.pool: the pool %q does not exist. Set it to one of the pools: %s." $test.pool (join ", " $pools)) -}}
  {{- end -}}
  {{- /* The name contains the release's revision: leave space for four digits. */ -}}
  {{- $longest := printf "%s-loadtest-9999-workers" (include "firstword.fullname" .) -}}
  {{- if gt (len $longest) 63 -}}
    {{- fail (printf "loadTest.enabled: the longest name of a load test Job, %s, has %d characters, and the limit is 63. Choose a shorter release name, or set loadTest.enabled to false." $longest (len $longest)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
