{{- define "ratchet.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 45 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ratchet.selector" -}}
app.kubernetes.io/name: ratchet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ratchet.labels" -}}
{{ include "ratchet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "ratchet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "ratchet.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "ratchet.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* Settings that are no secrets; what is given wins over what the chart knows. */}}
{{- define "ratchet.settings" -}}
{{- $known := dict
  "RATCHET_KAFKA__BOOTSTRAP" .Values.kafka.bootstrap
  "RATCHET_KAFKA__PARTITIONS" (.Values.kafka.partitions | toString)
  "RATCHET_KAFKA__REPLICATION_FACTOR" (.Values.kafka.replicationFactor | toString)
  "RATCHET_ROLE__PROBE_BIND" (printf "0.0.0.0:%v" .Values.probePort)
  "RATCHET_INGRESS__BIND" "0.0.0.0:8080"
  "RATCHET_CONSOLE__BIND" "0.0.0.0:8081" }}
{{- toYaml (mergeOverwrite $known .Values.settings) }}
{{- end }}

{{/* What every container of ours may do: nothing. */}}
{{- define "ratchet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "ratchet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "ratchet.volumes" -}}
- name: home
  emptyDir: { sizeLimit: 64Mi }
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
{{- end }}

{{- define "ratchet.volumeMounts" -}}
- { name: home, mountPath: /var/lib/ratchet }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "ratchet.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Values that contradict each other are refused before anything is installed. */}}
{{- define "ratchet.check" -}}
{{- $drain := .Values.settings.RATCHET_ROLE__DRAIN_SECONDS_MAX | default "14" | float64 }}
{{- range $role, $one := .Values.roles }}
{{- if ge (addf $drain ($one.preStopSeconds | float64) 2.0) ($.Values.terminationGracePeriodSeconds | float64) }}
{{- fail (printf "roles.%s: a pause of %v s, a drain of %v s and 2 s to leave do not fit under terminationGracePeriodSeconds=%v; raise it" $role $one.preStopSeconds $drain $.Values.terminationGracePeriodSeconds) }}
{{- end }}
{{- end }}
{{- if and .Values.keda.enabled (gt (int .Values.keda.maxReplicas) (int .Values.kafka.partitions)) }}
{{- fail (printf "keda.maxReplicas=%v is above kafka.partitions=%v; the consumers above it would stand idle" .Values.keda.maxReplicas .Values.kafka.partitions) }}
{{- end }}
{{- end }}
